"""Certificates: `issue` makes and judges them, `store` keeps files, `reload` serves, `dev` is for one machine."""
