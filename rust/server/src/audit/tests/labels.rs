//! Labels of grants, and arguments that nobody has seen.

use super::*;

#[test]
fn labels_are_kept_as_a_digest_and_as_the_values_that_the_policy_names() {
    let (gate, fake) = gate(AuditMode::BestEffort, BATCHES);
    let long = "é".repeat(300);
    let labelled = |labels: &[(&str, &str)], tool: &str, args: Args<'_>| {
        let request = Request {
            caller: Caller::Named { grant: "g", labels },
            pep: Pep::UNNAMED,
            tool,
            server: "srv",
            session: None,
            args,
            reserve: None,
            pins: None,
            unseen_member: None,
        };
        gate.decide(&request, |_| ());
    };
    labelled(&[("team", "red"), ("tier", "gold")], "t", Args::NONE);
    labelled(&[("tier", "gold"), ("team", "red")], "t", Args::NONE);
    labelled(&[("team", "red"), ("tier", "iron")], "t", Args::NONE);
    labelled(&[("team", &long)], "t", Args::Unseen);
    labelled(&[("team", "red")], "t", Args::Json(b"{"));
    finish(&gate);
    let lines = fake.lines();
    let digest = |line: usize| lines[line]["labels_digest"].as_str().unwrap();
    assert_eq!(digest(0), digest(1));
    assert_ne!(digest(0), digest(2));
    assert_eq!(
        (digest(0).len(), &lines[0]["labels"]),
        (16, &json!({"team": "red"}))
    );
    assert!(!fake.text().contains("gold"));
    let kept: String = long.chars().take(256).collect();
    assert_eq!(lines[3]["labels"], json!({"team": kept}));
    assert_eq!(lines[3]["labels_cut"], json!(["team"]));
    assert_eq!(lines[3]["args_unseen"], true);
    assert_eq!(lines[0].get("args_unseen"), None);
    assert_eq!(lines[4].get("labels_digest"), None, "the arguments are no JSON");
}
