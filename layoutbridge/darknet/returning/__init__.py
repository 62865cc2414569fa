"""The way back: parameters of other frameworks' models for a Darknet network, and a weights file of them."""
