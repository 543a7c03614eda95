"""Tables of algorithmic complexity, and the script that makes them."""
