"""What save_result is made of: options, a place for results, the stream of blocks, writers and their description."""
