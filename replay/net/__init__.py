"""The only room with sockets: servers, clients, TLS, datagrams, and the capture of what went over them."""
