"""PyTorch's operator database as the outside judge of what smartmem claims to support."""
