"""Who is asking: tokens, keys and principals, without sockets and without a clock."""
