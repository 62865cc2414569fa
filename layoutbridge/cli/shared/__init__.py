"""What the commands share: the application, arguments, parameters, what is printed and overwritten."""
