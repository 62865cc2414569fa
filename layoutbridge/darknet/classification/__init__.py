"""What a picture shows: classifiers run on pictures, with their own preparation and their trees of classes."""
