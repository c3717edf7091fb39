//! RETR, STOR, APPE, STOU, REST, ALLO.

use crate::client::Client;
use crate::server::Server;

#[test]
fn what_was_stored_is_retrieved() {
    let server = Server::start();
    let mut client = Client::bob(&server);
    client.upload("STOR a", b"one\r\ntwo\n");
    assert_eq!(server.get("a"), b"one\r\ntwo\n");
    assert_eq!(client.download("RETR a"), b"one\r\ntwo\n");
}
