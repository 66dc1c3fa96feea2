"""Values, pure: what a review, a pod, a quantity, an image, a patch, a decision is."""
