"""The only room that talks to image registries."""
