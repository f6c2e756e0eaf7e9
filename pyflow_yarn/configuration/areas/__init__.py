"""The supported keys, one module an area; ``options`` gathers them."""
