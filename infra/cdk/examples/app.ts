// A Seatrial in an account of its own choosing: `npx cdk synth` shows it, `npx cdk deploy` deploys it.
//
// The zips are those of `cargo xtask package-lambdas`; elsewhere than here, say where with `--context zips=…`.

import {
  App,
  Duration,
  Stack,
  aws_iam as iam,
  aws_lambda as lambda,
  aws_logs as logs,
  aws_s3 as s3,
  aws_sns as sns,
} from "aws-cdk-lib";

import { Artifacts, Seatrial } from "@seatrial/cdk";

const app = new App();
const stack = new Stack(app, "seatrial", {
  description: "Seatrial: from a trained model to its place in front of all traffic, with the proof.",
  // The table and the buckets stay when the stack goes; this keeps it from going by accident.
  terminationProtection: true,
});

const oncall = new sns.Topic(stack, "OnCall", { enforceSSL: true });

const seatrial = new Seatrial(stack, "Seatrial", {
  artifacts: Artifacts.fromDirectory(app.node.tryGetContext("zips") ?? "../../target/package/x86_64"),
  architecture: lambda.Architecture.X86_64,
  alarmTopic: oncall,
  mailFrom: "ml@example.com",
  approvals: {
    baseUrl: "https://approvals.example.com",
    oidc: { issuer: "https://login.example.com", clientId: "seatrial" },
  },
  evidence: { lockMode: s3.ObjectLockMode.GOVERNANCE, lock: Duration.days(7 * 365) },
  logs: { retention: logs.RetentionDays.ONE_YEAR },
  // So that nothing can keep an operator from rolling back, nor a rollback from its traffic target.
  concurrency: { control: 5, rollback: 5, reconcile: 5, answer: 5 },
  throttles: { approvals: { rate: 20, burst: 40 } },
});

// Who may do what. Roles come from elsewhere in a real app.
const role = (id: string, service: string) =>
  new iam.Role(stack, id, { assumedBy: new iam.ServicePrincipal(service) });
seatrial.grantSubmit(role("Training", "sagemaker.amazonaws.com"), { model: "credit-risk" });
seatrial.grantPredict(role("Shop", "lambda.amazonaws.com"), { model: "credit-risk" });
seatrial.grantObserve(role("OwnServer", "ecs-tasks.amazonaws.com"), { model: "credit-risk" });
seatrial.grantRollback(role("Remediation", "ssm.amazonaws.com"));

// An alarm of your own, beside those that the template has.
seatrial.queue.metricApproximateAgeOfOldestMessage().createAlarm(stack, "ObservationsAreLate", {
  threshold: 300,
  evaluationPeriods: 3,
});

app.synth();
