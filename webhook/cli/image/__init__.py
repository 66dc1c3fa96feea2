"""What `plimsoll images` shows and writes: an image, a lock file, why an image is approved or not."""
