"""What load_collection and load_stac are made of: requests, catalogues, files, grids and the reading of blocks."""
