//! `DEBUG PROTOCOL`: a reply of each kind that the protocol has, for tests of clients.

use super::{Context, Error};

/// Replies a value of the type of this name, the same as Redis does.
pub(super) fn reply(cx: &mut Context<'_>, name: &[u8]) -> Result<(), Error> {
    let is_resp3 = cx.reply.is_resp3();
    let reply = &mut cx.reply;
    match name.to_ascii_lowercase().as_slice() {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.integer(12_345),
        // The value that Redis replies, whose tests compare it.
        b"double" => reply.double(f64::from(3141) / 1000.0),
        b"bignum" => reply.big_number("1234567999999999999999999999999999999"),
        b"null" => reply.null(),
        b"true" => reply.boolean(true),
        b"false" => reply.boolean(false),
        b"verbatim" => reply.verbatim(b"txt", b"This is a verbatim\nstring"),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|number| reply.integer(number));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|number| reply.integer(number));
        }
        b"map" => {
            reply.map(3);
            for number in 0..3 {
                reply.integer(number);
                reply.boolean(number == 1);
            }
        }
        b"attrib" => {
            if is_resp3 {
                reply.attribute(1);
                reply.bulk(b"key-popularity");
                reply.array(2);
                reply.bulk(b"key:123");
                reply.integer(90);
            }
            reply.bulk(b"Some real reply following the attribute");
        }
        b"push" if !is_resp3 => return Err(Error::new("RESP2 is not supported by this command")),
        b"push" => {
            reply.bulk(b"Some real reply following the push reply");
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.integer(42);
        }
        _ => {
            return Err(Error::new(
                "Wrong protocol type name. Please use one of the following: \
                 string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    #[test]
    fn every_kind_has_its_reply() {
        let mut rig = Rig::new();
        rig.check(&[
            ("DEBUG PROTOCOL string", "$11|Hello World"),
            ("DEBUG PROTOCOL double", "$5|3.141"),
            ("DEBUG PROTOCOL map", "*6|:0|:0|:1|:1|:2|:0"),
            ("DEBUG PROTOCOL attrib", "$39|Some real reply following the attribute"),
            ("DEBUG PROTOCOL push", "-ERR RESP2 is not supported by this command"),
            ("DEBUG PROTOCOL verbatim", "$25|This is a verbatim\nstring"),
        ]);
        rig.run("HELLO 3");
        rig.check(&[
            ("DEBUG PROTOCOL integer", ":12345"),
            ("DEBUG PROTOCOL double", ",3.141"),
            ("DEBUG PROTOCOL bignum", "(1234567999999999999999999999999999999"),
            ("DEBUG PROTOCOL null", "_"),
            ("DEBUG PROTOCOL array", "*3|:0|:1|:2"),
            ("DEBUG PROTOCOL set", "~3|:0|:1|:2"),
            ("DEBUG PROTOCOL map", "%3|:0|#f|:1|#t|:2|#f"),
            (
                "DEBUG PROTOCOL attrib",
                "|1|$14|key-popularity|*2|$7|key:123|:90|$39|Some real reply following the attribute",
            ),
            ("DEBUG PROTOCOL push", "$40|Some real reply following the push reply|>2|$16|server-cpu-usage|:42"),
            ("DEBUG PROTOCOL VERBATIM", "=29|txt:This is a verbatim\nstring"),
            ("DEBUG PROTOCOL true", "#t"),
            ("DEBUG PROTOCOL false", "#f"),
            (
                "DEBUG PROTOCOL x",
                "-ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
            ),
        ]);
    }
}
