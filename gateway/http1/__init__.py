"""HTTP/1.1 without sockets: what is read, what is refused, what goes out."""
