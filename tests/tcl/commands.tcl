# Prints the commands that a file of Redis's suite would send, instead of sending them: for suites that start servers of their own.
#
#   tclsh commands.tcl FILE     in the folder of the suite
#
# A line is `test NAME`, `r WORD…` or `want PATTERN`, each word in hexadecimal digits, `-` for none.

proc say {kind args} {
    foreach word $args {
        if {$word eq ""} {
            append kind " -"
        } else {
            append kind " " [binary encode hex $word]
        }
    }
    puts $kind
}

proc test {name body args} {
    say test $name
    catch {uplevel 1 $body}
}

# A server that is to be looked at from outside has no body.
proc start_server {options {body {}}} {
    uplevel 1 $body
    dict create stdout {} stderr {}
}

proc r {args} {
    say r {*}$args
}

proc assert_match {pattern value args} {
    say want $pattern
}

proc tags {names body} {
    uplevel 1 $body
}

foreach name {assert assert_equal assert_lessthan verify_log_message kill_server tmpdir fail wait_for_condition} {
    proc $name args {}
}

proc count_log_message args {
    return 0
}

# Nothing is copied anywhere; what machine it is, is asked first of all.
rename exec execute
proc exec args {
    if {[lindex $args 0] eq "uname"} {
        execute {*}$args
    }
}

set ::accurate 0
source [lindex $argv 0]
