//! Tests of tracking: each compares what clients are told.

use crate::command::testing::Rig;
use crate::session::Client;

/// What others posted to a client.
fn mail(client: &Client) -> String {
    let mut out = Vec::new();
    client.info.mailbox.collect(&mut out, usize::MAX);
    String::from_utf8_lossy(&out).replace("\r\n", "|").trim_end_matches('|').to_string()
}

/// A server with a second client, who speaks RESP3 and has run `requests`.
fn with_tracker(requests: &[&str]) -> (Rig, Client) {
    let mut rig = Rig::new();
    let mut tracker = rig.connect();
    said(&mut rig, &mut tracker, &["HELLO 3"]);
    said(&mut rig, &mut tracker, requests);
    (rig, tracker)
}

/// Runs requests as another client; the last reply.
fn said(rig: &mut Rig, client: &mut Client, requests: &[&str]) -> String {
    std::mem::swap(&mut rig.client, client);
    let replies: Vec<_> = requests.iter().map(|request| rig.run(request)).collect();
    std::mem::swap(&mut rig.client, client);
    replies.into_iter().next_back().unwrap_or_default()
}

const K: &str = ">2|$10|invalidate|*1|$1|k";

#[test]
fn a_reader_is_told_once_for_each_read() {
    let (mut rig, mut tracker) = with_tracker(&["CLIENT TRACKING ON", "GET k", "MGET k other"]);
    rig.check(&[("SET x 1", "+OK"), ("GET k", "$-1")]);
    assert_eq!(mail(&tracker), "");
    rig.check(&[("SET k 1", "+OK"), ("SET k 2", "+OK")]);
    assert_eq!(mail(&tracker), K);
    said(&mut rig, &mut tracker, &["GET k", "CLIENT TRACKING OFF"]);
    rig.run("SET k 3");
    assert_eq!((mail(&tracker).as_str(), rig.worker.node.tracking.size()), ("", (0, 0)));
    // What the client changes itself it is told of, too.
    said(&mut rig, &mut tracker, &["CLIENT TRACKING ON", "GET k", "SET k 4"]);
    assert_eq!(mail(&tracker), K);
    said(&mut rig, &mut tracker, &["CLIENT TRACKING ON NOLOOP", "GET k", "SET k 5"]);
    assert_eq!(mail(&tracker), "");
}

#[test]
fn expiry_eviction_and_flushes_are_told() {
    let (mut rig, mut tracker) = with_tracker(&["CLIENT TRACKING ON"]);
    rig.run("SET k 1 PX 100");
    said(&mut rig, &mut tracker, &["GET k"]);
    rig.pass(101);
    rig.run("EXISTS k");
    assert_eq!(mail(&tracker), K);
    rig.run("SET k 1");
    said(&mut rig, &mut tracker, &["GET k"]);
    rig.run("CONFIG SET maxmemory 1 maxmemory-policy allkeys-lru");
    rig.worker.refresh();
    rig.check(&[("SET l 1", "+OK"), ("CONFIG SET maxmemory 0", "+OK")]);
    rig.worker.refresh();
    assert_eq!(mail(&tracker), K);
    for flush in ["FLUSHDB", "FLUSHALL ASYNC", "SWAPDB 0 1"] {
        said(&mut rig, &mut tracker, &["GET k"]);
        rig.run(flush);
        assert_eq!(mail(&tracker), ">2|$10|invalidate|_", "{flush}");
        assert_eq!(rig.worker.node.tracking.size(), (0, 0));
    }
}

#[test]
fn opting_in_and_out_chooses_the_next_command_or_transaction() {
    let (mut rig, mut tracker) = with_tracker(&["CLIENT TRACKING ON OPTIN", "GET k"]);
    rig.run("SET k 1");
    assert_eq!(mail(&tracker), "");
    said(&mut rig, &mut tracker, &["CLIENT CACHING YES", "GET k", "GET other"]);
    rig.check(&[("SET other 1", "+OK"), ("SET k 1", "+OK")]);
    assert_eq!(mail(&tracker), K);
    said(&mut rig, &mut tracker, &["CLIENT CACHING YES", "MULTI", "GET a", "GET k", "EXEC", "GET b"]);
    rig.check(&[("SET b 1", "+OK"), ("SET k 1", "+OK")]);
    assert_eq!(mail(&tracker), K);
    let out = ["CLIENT TRACKING OFF", "CLIENT TRACKING ON OPTOUT", "CLIENT CACHING NO", "GET other", "GET k"];
    said(&mut rig, &mut tracker, &out);
    rig.check(&[("SET other 1", "+OK"), ("SET k 1", "+OK")]);
    assert_eq!(mail(&tracker), K);
}

#[test]
fn broadcasts_tell_of_all_keys_of_a_prefix() {
    let (mut rig, mut tracker) = with_tracker(&["CLIENT TRACKING ON BCAST PREFIX k PREFIX m NOLOOP"]);
    rig.check(&[("MSET k 1 k2 2 x 3", "+OK")]);
    assert_eq!(mail(&tracker), ">2|$10|invalidate|*2|$1|k|$2|k2");
    rig.check(&[("GET missing", "$-1"), ("GET k", "$1|1")]);
    assert_eq!(mail(&tracker), "");
    said(&mut rig, &mut tracker, &["SET k 1"]);
    assert_eq!(mail(&tracker), "");
    assert!(rig.run("INFO clients").contains("tracking_clients:1|"));
    assert!(rig.run("INFO stats").contains("tracking_total_prefixes:2|"));
    said(&mut rig, &mut tracker, &["RESET"]);
    rig.run("SET k 3");
    assert_eq!((mail(&tracker).as_str(), rig.worker.local.has_changes()), ("", false));
    assert!(rig.run("INFO stats").contains("tracking_total_prefixes:0|"));
}

#[test]
fn messages_are_redirected() {
    let mut rig = Rig::new();
    let mut target = rig.connect();
    let id = target.info.id;
    rig.check(&[
        (&format!("CLIENT TRACKING ON REDIRECT {id}"), "+OK"),
        ("GET k", "$-1"),
        ("CLIENT GETREDIR", &format!(":{id}")),
    ]);
    rig.run("SET k 1");
    // A client of RESP2 that listens to nothing could not tell a message from a reply.
    assert_eq!(mail(&target), "");
    said(&mut rig, &mut target, &["SUBSCRIBE __redis__:invalidate"]);
    rig.check(&[("GET k", "$1|1"), ("SET k 1", "+OK")]);
    assert_eq!(mail(&target), "*3|$7|message|$20|__redis__:invalidate|*1|$1|k");
    rig.run("FLUSHALL");
    assert_eq!(mail(&target), "*3|$7|message|$20|__redis__:invalidate|$-1");
    assert!(rig.run("CLIENT LIST").contains(&format!("redir={id}")));
    rig.worker.node.registry.remove(&target.info);
    rig.run("HELLO 3");
    rig.check(&[("GET k", "_"), ("SET k 1", "+OK")]);
    let told = mail(&rig.client);
    assert_eq!(told, format!(">2|$21|tracking-redir-broken|:{id}"));
    assert!(rig.run("CLIENT TRACKINGINFO").contains("broken_redirect"));
}

#[test]
fn the_table_has_a_limit() {
    let (mut rig, mut tracker) = with_tracker(&["CONFIG SET tracking-table-max-keys 10"]);
    rig.worker.refresh();
    said(&mut rig, &mut tracker, &["CLIENT TRACKING ON"]);
    for i in 0..25 {
        said(&mut rig, &mut tracker, &[&format!("GET key:{i}")]);
    }
    assert_eq!(rig.worker.node.tracking.size(), (10, 10));
    assert_eq!(mail(&tracker).matches("invalidate").count(), 15);
    assert!(rig.run("INFO stats").contains("tracking_total_keys:10|"));
    // A lower limit holds at once.
    rig.run("CONFIG SET tracking-table-max-keys 1");
    assert_eq!(rig.worker.node.tracking.size(), (1, 1));
    assert_eq!(mail(&tracker).matches("invalidate").count(), 9);
}

#[test]
fn subscriptions_are_confirmed_to_those_that_want_no_replies() {
    let mut rig = Rig::new();
    rig.check(&[("CLIENT REPLY OFF", ""), ("PING", ""), ("SUBSCRIBE c", "*3|$9|subscribe|$1|c|:1"), ("SUBSCRIBE", "")]);
}

#[test]
fn errors_and_states_are_those_of_redis() {
    Rig::new().check(&[
        ("CLIENT TRACKING maybe", "-ERR syntax error"),
        ("CLIENT TRACKING ON FOO", "-ERR syntax error"),
        ("CLIENT TRACKING ON REDIRECT", "-ERR syntax error"),
        ("CLIENT TRACKING ON REDIRECT x", "-ERR value is not an integer or out of range"),
        ("CLIENT TRACKING ON REDIRECT 99", "-ERR The client ID you want redirect to does not exist"),
        ("CLIENT TRACKING ON REDIRECT 1 REDIRECT 1", "-ERR A client can only redirect to a single other client"),
        ("CLIENT TRACKING ON PREFIX a", "-ERR PREFIX option requires BCAST mode to be enabled"),
        ("CLIENT TRACKING ON BCAST OPTIN", "-ERR OPTIN and OPTOUT are not compatible with BCAST"),
        ("CLIENT TRACKING ON OPTIN OPTOUT", "-ERR You can't specify both OPTIN mode and OPTOUT mode"),
        (
            "CLIENT CACHING YES",
            "-ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
        ),
        (
            "CLIENT TRACKING ON BCAST PREFIX a PREFIX ab",
            "-ERR Prefix 'a' overlaps with another provided prefix 'ab'. Prefixes for a single client must not overlap.",
        ),
        ("CLIENT TRACKING ON BCAST PREFIX ab", "+OK"),
        (
            "CLIENT TRACKING ON BCAST PREFIX a",
            "-ERR Prefix 'a' overlaps with an existing prefix 'ab'. Prefixes for a single client must not overlap.",
        ),
        ("CLIENT TRACKINGINFO", "*6|$5|flags|*2|$2|on|$5|bcast|$8|redirect|:0|$8|prefixes|*1|$2|ab"),
        ("CLIENT GETREDIR", ":0"),
        (
            "CLIENT TRACKING ON",
            "-ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it \
             with a different mode.",
        ),
        ("CLIENT CACHING YES", "-ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode."),
        ("CLIENT CACHING NO", "-ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode."),
        ("CLIENT CACHING x", "-ERR syntax error"),
        ("CLIENT TRACKING OFF", "+OK"),
        ("CLIENT TRACKING ON OPTIN NOLOOP", "+OK"),
        (
            "CLIENT TRACKING ON OPTOUT",
            "-ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it \
             with a different mode.",
        ),
        ("CLIENT CACHING YES", "+OK"),
        (
            "CLIENT TRACKINGINFO",
            "*6|$5|flags|*4|$2|on|$5|optin|$11|caching-yes|$6|noloop|$8|redirect|:0|$8|prefixes|*0",
        ),
        ("CLIENT TRACKING OFF", "+OK"),
        ("CLIENT TRACKINGINFO", "*6|$5|flags|*1|$3|off|$8|redirect|:-1|$8|prefixes|*0"),
        ("CLIENT GETREDIR", ":-1"),
    ]);
}
