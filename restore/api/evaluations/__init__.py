"""What is measured of each task, for ``restore.evaluate`` and ``imrestore evaluate`` alike."""
