//! USER, PASS, ACCT, REIN, QUIT.

use crate::client::Client;
use crate::server::Server;

#[test]
fn a_user_logs_in_and_out() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.cmd("USER bob", 331);
    client.cmd("PASS secret", 230);
    assert!(client.cmd("PWD", 257).contains("\"/\""));
    client.cmd("QUIT", 221);
    client.expect_close();
}
