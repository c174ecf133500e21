"""Images: files, colours, MATLAB's resize, panels."""
