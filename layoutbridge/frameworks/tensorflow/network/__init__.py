"""What the primitives of networks stand on in Keras, each by itself: windows, Winograd's form."""
