"""Systems Manager: agents in the guests, and the commands sent to them."""
