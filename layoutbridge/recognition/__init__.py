"""What is this? A black box, a file or a framework's op in; its table, its digits and its catalogue names out."""
