"""F5 BIG-IP: virtual servers, pools and data groups, written as AS3 declarations, read back through iControl REST."""
