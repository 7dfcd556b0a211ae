"""One module for each part of MiniStack that is remedied; each has `install(module, ...)`."""
