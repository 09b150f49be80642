"""What a system is and costs: parameters, products per pixel, how far it sees."""
