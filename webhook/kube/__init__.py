"""The only room that talks to the API server: a small client, the facts that rules need, dev registration."""
