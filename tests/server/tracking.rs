//! Invalidations over sockets: they follow the reply that they concern, and wake a client that waits.

use crate::support::{Reply, on_each_driver};

#[test]
fn a_waiting_client_hears_that_what_it_read_has_changed() {
    on_each_driver(&["--workers", "2"], |server| {
        let (mut listener, mut reader, mut writer) = (server.client(), server.client(), server.client());
        let Reply::Integer(id) = listener.say("CLIENT ID") else { panic!("no id") };
        listener.say("SUBSCRIBE __redis__:invalidate");
        assert_eq!(reader.say(&format!("CLIENT TRACKING ON REDIRECT {id}")), Reply::ok());
        for round in 0..50 {
            let key = format!("key:{round}");
            assert_eq!(reader.say(&format!("GET {key}")), Reply::Null);
            assert_eq!(writer.say(&format!("SET {key} 1")), Reply::ok());
            let head = ["message", "__redis__:invalidate"].map(Reply::bulk);
            let told = head.into_iter().chain([Reply::Array(vec![Reply::bulk(&key)])]).collect();
            assert_eq!(listener.reply(), Reply::Array(told));
        }
        assert_eq!(writer.say("FLUSHALL"), Reply::ok());
        assert!(format!("{:?}", listener.reply()).contains("Null"));
    });
}
