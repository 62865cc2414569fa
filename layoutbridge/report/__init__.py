"""What people read: terminal tables and files of tables. Takes results, computes nothing."""
