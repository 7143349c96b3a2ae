vcl 4.1;

# Varnish 7. The gateway is then at http://gw.example/gw/. Run varnishd with
#   -p http_req_hdr_len=32k -p http_req_size=64k -p workspace_client=256k -p workspace_backend=256k -p pipe_timeout=330s
# for heads of 32 KiB, and streams that are silent for as long as a call may be.
#
# Start the gateway with
#   mcp-proxy --base-url http://gw.example/gw --trusted-proxies 127.0.0.1 --admin-tokens "$TOKEN"

backend default {
    .host = "127.0.0.1";
    .port = "6001";
    .first_byte_timeout = 330s;
    .between_bytes_timeout = 330s;
}

sub vcl_recv {
    set req.url = regsub(req.url, "^/gw/", "/");
    # Nothing here may be cached, and a piped client that leaves is noticed at once.
    return (pipe);
}

sub vcl_pipe {
    # The connection is not used for another request, whose head would not be rewritten.
    set bereq.http.Connection = "close";
    # Set, not appended: what a client claims must not reach the gateway.
    set bereq.http.X-Forwarded-For = client.ip;
}
