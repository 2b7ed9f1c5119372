//! Servers that try to get a list past whoever cuts it.

use super::*;

impl Pumps {
    /// With these lines of the client on their way.
    async fn after(pipe_bytes: usize, lines: &[&str]) -> Self {
        let mut pumps = Self::start(pipe_bytes);
        for line in lines {
            pumps.send(&format!("{line}\n")).await;
            pumps.call().await;
        }
        pumps
    }
}

const LIST: &str = r#"{"id":3,"method":"tools/list"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_names_a_method_is_cut_as_well() {
    let mut pumps = Pumps::after(4_096, &[LIST]).await;
    let decoy = format!("{}method", "x".repeat(40));
    let decoy = format!("{{\"{decoy}\":0,\"id\":3,\"hidden\":0}}");
    for (reply, seen) in [
        (
            r#"{"method":0,"id":3,"result":"hidden"}"#,
            r#"{"method":0,"id":3,"result":""}"#,
        ),
        (
            r#"{"id":3,"error":"hidden","method":"x"}"#,
            r#"{"id":3,"error":"","method":"x"}"#,
        ),
        (&decoy, &decoy.replace("hidden", "")),
        (r#"{"id":3,"method":"hidden"}"#, r#"{"id":3,"method":"hidden"}"#),
    ] {
        pumps.serve(&format!("{reply}\n")).await;
        assert_eq!(pumps.answer().await, format!("{seen}\n"));
    }
}
