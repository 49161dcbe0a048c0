//! Commands of clusters. This server is never a node of one, so all are refused, with the words of a Redis outside
//! cluster mode: clients ask for the cluster to learn that there is none, and rules of users name these commands.

use super::{Categories, Command, Context, Error, Flags, Group};
use crate::protocol::Args;

/// What a node is told to do to its cluster.
const CHANGES: Flags = Flags::ADMIN.and(Flags::STALE).and(Flags::NO_ASYNC_LOADING);
/// What administrators ask a node.
const ASKS: Flags = Flags::ADMIN.and(Flags::STALE);
/// What clients ask a node, also while it loads.
const TELLS: Flags = Flags::LOADING.and(Flags::STALE);
const VARYING: &[&str] = &["nondeterministic_output"];
const BY_NODES: &str = "O(N) where N is the total number of Cluster nodes";
const BY_REPLICAS: &str = "O(N) where N is the number of replicas.";
const BY_SLOTS: &str = "O(N) where N is the total number of hash slot arguments";
const BY_RANGES: &str = "O(N) where N is the total number of the slots between the start slot and end slot arguments.";
const RANGES: &str = "<start-slot:integer end-slot:integer> ...";

/// A summary: what the command is for, and that it is refused.
macro_rules! refused {
    ($text:literal) => {
        concat!($text, " Refused: this server is in no cluster.")
    };
}

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    of_connection("asking")
        .flags(Flags::FAST)
        .doc(refused!("Follows a redirection to a node that imports a slot."), ""),
    Command::container("cluster", SUBCOMMANDS).group(Group::Cluster).since("3.0.0").doc("Manages a cluster.", ""),
    of_connection("readonly")
        .flags(Flags::FAST.and(TELLS))
        .doc(refused!("Allows reads from a replica of a cluster."), ""),
    of_connection("readwrite").flags(Flags::FAST.and(TELLS)).doc(refused!("Ends what READONLY allowed."), ""),
];

const SUBCOMMANDS: &[Command] = &[
    sub("addslots", -3, CHANGES).complexity(BY_SLOTS).doc(refused!("Gives slots to the node."), "slot:integer ..."),
    sub("addslotsrange", -4, CHANGES)
        .since("7.0.0")
        .complexity(BY_RANGES)
        .doc(refused!("Gives ranges of slots to the node."), RANGES),
    sub("bumpepoch", 2, CHANGES).tips(VARYING).doc(refused!("Raises the epoch of the node."), ""),
    sub("count-failure-reports", 3, ASKS)
        .tips(VARYING)
        .complexity("O(N) where N is the number of failure reports")
        .doc(refused!("Counts the reports that a node failed."), "node-id:string"),
    sub("countkeysinslot", 3, Flags::STALE).doc(refused!("Counts the keys of a slot."), "slot:integer"),
    sub("delslots", -3, CHANGES).complexity(BY_SLOTS).doc(refused!("Takes slots from the node."), "slot:integer ..."),
    sub("delslotsrange", -4, CHANGES)
        .since("7.0.0")
        .complexity(BY_RANGES)
        .doc(refused!("Takes ranges of slots from the node."), RANGES),
    sub("failover", -2, CHANGES).doc(refused!("Has a replica become the master."), "[FORCE|TAKEOVER]"),
    sub("flushslots", 2, CHANGES).doc(refused!("Takes all slots from the node."), ""),
    sub("forget", 3, CHANGES).doc(refused!("Forgets a node."), "node-id:string"),
    sub("getkeysinslot", 4, Flags::STALE)
        .tips(VARYING)
        .complexity("O(N) where N is the number of requested keys")
        .doc(refused!("Lists keys of a slot."), "slot:integer count:integer"),
    sub("help", 2, TELLS).since("5.0.0").doc(refused!("Tells about the subcommands."), ""),
    sub("info", 2, Flags::STALE).tips(VARYING).doc(refused!("Tells the state of the cluster."), ""),
    sub("keyslot", 3, Flags::STALE)
        .complexity("O(N) where N is the number of bytes in the key")
        .doc(refused!("Tells the slot of a key."), "key:string"),
    sub("links", 2, Flags::STALE)
        .since("7.0.0")
        .tips(VARYING)
        .complexity(BY_NODES)
        .doc(refused!("Lists the connections to other nodes."), ""),
    sub("meet", -4, CHANGES).doc(refused!("Makes a node known."), "ip:string port:integer [cluster-bus-port:integer]"),
    sub("myid", 2, Flags::STALE).doc(refused!("Tells the name of the node."), ""),
    sub("myshardid", 2, Flags::STALE)
        .since("7.2.0")
        .tips(VARYING)
        .doc(refused!("Tells the name of the node's shard."), ""),
    sub("nodes", 2, Flags::STALE).tips(VARYING).complexity(BY_NODES).doc(refused!("Lists the nodes."), ""),
    sub("replicas", 3, ASKS)
        .since("5.0.0")
        .tips(VARYING)
        .complexity(BY_REPLICAS)
        .doc(refused!("Lists the replicas of a node."), "node-id:string"),
    sub("replicate", 3, CHANGES).doc(refused!("Makes the node a replica of another."), "node-id:string"),
    sub("reset", -2, Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::STALE))
        .complexity("O(N) where N is the number of known nodes. The command may execute a FLUSHALL as a side effect.")
        .doc(refused!("Has the node leave the cluster."), "[HARD|SOFT]"),
    sub("saveconfig", 2, CHANGES).doc(refused!("Saves the state of the cluster."), ""),
    sub("set-config-epoch", 3, CHANGES).doc(refused!("Sets the epoch of a new node."), "config-epoch:integer"),
    sub("setslot", -4, CHANGES).doc(
        refused!("Moves a slot between nodes."),
        "slot:integer <IMPORTING node-id:string|MIGRATING node-id:string|NODE node-id:string|STABLE>",
    ),
    sub("shards", 2, TELLS)
        .since("7.0.0")
        .tips(VARYING)
        .complexity("O(N) where N is the total number of cluster nodes")
        .doc(refused!("Lists the shards with their nodes."), ""),
    sub("slaves", 3, ASKS)
        .tips(VARYING)
        .complexity(BY_REPLICAS)
        .replaced_by("`CLUSTER REPLICAS`", "5.0.0")
        .doc(refused!("Lists the replicas of a node."), "node-id:string"),
    sub("slots", 2, TELLS).tips(VARYING).complexity(BY_NODES).doc(refused!("Lists the slots with their nodes."), ""),
];

/// A command for the state of a connection to a node.
const fn of_connection(name: &'static str) -> Command {
    Command::new(name, 1, refuse).group(Group::Cluster).categories(Categories::CONNECTION).since("3.0.0")
}

const fn sub(name: &'static str, arity: i32, flags: Flags) -> Command {
    Command::new(name, arity, refuse).flags(flags).group(Group::Cluster).since("3.0.0")
}

fn refuse(_: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    Err(Error::NO_CLUSTER)
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    #[test]
    fn there_is_no_cluster() {
        let mut rig = Rig::new();
        for request in ["CLUSTER INFO", "cluster keyslot k", "CLUSTER HELP", "READONLY", "READWRITE", "ASKING"] {
            assert_eq!(rig.run(request), "-ERR This instance has cluster support disabled", "{request}");
        }
        rig.check(&[
            ("CLUSTER", "-ERR wrong number of arguments for 'cluster' command"),
            ("CLUSTER KEYSLOT", "-ERR wrong number of arguments for 'cluster|keyslot' command"),
            ("CLUSTER BOGUS", "-ERR unknown subcommand 'BOGUS'. Try CLUSTER HELP."),
        ]);
    }

    #[test]
    fn rules_of_users_name_it() {
        let mut rig = Rig::new();
        rig.check(&[
            ("ACL SETUSER u on nopass +cluster|info -cluster|nodes +readonly", "+OK"),
            ("ACL DRYRUN u CLUSTER INFO", "+OK"),
            ("ACL SETUSER v on nopass +cluster", "+OK"),
            ("ACL DRYRUN v CLUSTER NODES", "+OK"),
        ]);
        assert!(rig.run("ACL DRYRUN u CLUSTER NODES").contains("no permissions to run the 'cluster|nodes' command"));
    }
}
