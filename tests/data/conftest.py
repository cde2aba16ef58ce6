"""With this file here, pytest lets tests in the folders below import the modules beside it, such as `mask_files`."""
