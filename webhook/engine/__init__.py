"""The judgement: a ruleset, a review, facts and the time make a decision."""
