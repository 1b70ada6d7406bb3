//! How applications reach the mesh: listeners, SOCKS5 and HTTP CONNECT.
