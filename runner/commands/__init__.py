"""Commands of the command line, one family a file: words and options in, one command's work, text out."""
