"""What `plimsoll new` writes: packs, rules and checks with blanks in them."""
