import { Stack, Validations } from "aws-cdk-lib";
import type { CfnInclude } from "aws-cdk-lib/cloudformation-include";

/** A finding of cdk-nag's AwsSolutions that stands, and why it may. */
export interface Finding {
  /** The rule; for a wildcard also which one. */
  readonly id: string;
  /** The resources, by their names in the template. */
  readonly on: readonly string[];
  /** Why it may stand. */
  readonly reason: string;
}

/** A wildcard in what a role reaches. */
const reaches = (resource: string, on: readonly string[], reason: string): Finding => ({
  id: `AwsSolutions-IAM5[Resource::${resource}]`,
  on,
  reason,
});
/** An ARN of this account, as the rule writes it. */
const own = (service: string, rest: string): string =>
  `arn:<AWS::Partition>:${service}:<AWS::Region>:<AWS::AccountId>:${rest}`;

/** Every finding of AwsSolutions that stands in the template. A test says that there is no other, and that none of these is unused. */
export const FINDINGS: readonly Finding[] = [
  {
    id: "AwsSolutions-S1",
    on: ["SubmissionsBucket", "ModelsBucket", "DataBucket", "EvidenceBucket"],
    reason:
      "Access logs go to the bucket that `accessLogs` names, where the account does not rely on CloudTrail; the rule does not see a property that depends on a condition.",
  },
  {
    id: "AwsSolutions-SQS3",
    on: [
      "ObservationsDeadLetters",
      "ShadowDeadLetters",
      "IntakeDeadLetters",
      "AnswerDeadLetters",
      "NoticesDeadLetters",
      "SweepDeadLetters",
      "TargetsDeadLetters",
    ],
    reason:
      "It is a dead-letter queue itself, of a queue, an event rule, an asynchronous call or a stream; an alarm watches it.",
  },
  {
    id: "AwsSolutions-SF2",
    on: ["PromotionStateMachine", "CanaryStateMachine"],
    reason:
      "Every event of an execution is logged, and the registry's hash chain tells what it did; X-Ray would add rights on a star and tell nothing more.",
  },
  {
    id: "AwsSolutions-APIG4",
    on: [
      "ApprovalsRootRoute",
      "ApprovalsGateRoute",
      "ApprovalsLinkRoute",
      "ApprovalsListRoute",
      "ApprovalsLoginRoute",
      "ApprovalsCallbackRoute",
      "ApprovalsLogoutRoute",
      "ApprovalsTokenRoute",
    ],
    reason:
      "Approvers have no AWS credentials: pages show nothing without a link or a login, and the function checks bearer tokens itself. Every other route asks IAM.",
  },
  reaches("*", ["AnswerRole"], "dynamodb:ListStreams has no resource level."),
  reaches(
    "*",
    ["CanaryMachineRole", "PromotionMachineRole"],
    "Log delivery of Step Functions has no resource level.",
  ),
  reaches(
    "*",
    ["VpcPolicy"],
    "Lambda makes network interfaces in the name of the role, and which ones is known only then; calls of the functions' own code are denied.",
  ),
  reaches(
    own("states", "execution:<AWS::StackName>-promotion:*"),
    ["IntakeRole", "ControlRole", "SweepRole"],
    "Executions of the stack's own machine; their names are those of promotions.",
  ),
  reaches(
    own("states", "execution:<CanaryStateMachine.Name>:*"),
    ["PromotionMachineRole"],
    "Executions of the stack's own canary; Step Functions names them.",
  ),
  reaches(
    "<SubmissionsBucket.Arn>/*",
    ["PackageRole"],
    "Submissions of every model; only whoever uploads knows their names.",
  ),
  reaches(
    "<SubmissionsBucket.Arn>/submissions/*/submission.json",
    ["IntakeRole"],
    "The completing file of every submission, whose state names its promotion; only the metadata are read.",
  ),
  reaches(
    "<SubmissionsBucket.Arn>/unpacked/*",
    ["PackageRole"],
    "Where archives of training are unpacked, by model and promotion; nothing else lies there.",
  ),
  reaches(
    "<ModelsBucket.Arn>/*",
    ["PackageRole", "EvaluateRole", "ReplayRole", "ControlRole", "ServeRole"],
    "Packages of every model, named by their digest; the bucket holds nothing else.",
  ),
  reaches(
    "<ModelsBucket.Arn>/*/index.json",
    ["AttestRole", "SweepRole"],
    "The index of each model's packages, to which model cards are added, and from which collected versions are taken.",
  ),
  reaches(
    "<ModelsBucket.Arn>/*/blobs/*",
    ["AttestRole", "SweepRole"],
    "Named by their digest: model cards beside their packages, and what a collected version leaves to be deleted.",
  ),
  reaches(
    "<ModelsBucket.Arn>/*/signatures/*",
    ["SweepRole"],
    "Signatures of collected versions, named by the digest of what they sign.",
  ),
  reaches(
    "<EvidenceBucket.Arn>/*",
    ["EvaluateRole", "CompareRole", "HealthRole", "AttestRole", "SweepRole", "ApprovalsRole", "ControlRole"],
    "Evidence of every promotion, named by its content; Object Lock keeps what is written, and no role may delete.",
  ),
  reaches("<EvidenceBucket.Arn>/refused/*", ["PackageRole"], "What was refused, by model and promotion."),
  reaches(
    "<DataBucket.Arn>/*",
    ["ObserveRole", "ReplayRole", "CompareRole", "ControlRole"],
    "Observations and pairs of every model, in partitions by date and content; the bucket holds nothing else.",
  ),
  ...["observations", "signals", "labels"].map((folder) =>
    reaches(
      `<DataBucket.Arn>/${folder}/*`,
      ["HealthRole"],
      "What was said about served requests, in partitions by model and date.",
    ),
  ),
  reaches(
    own("lambda", "function:seatrial-check-*"),
    ["EvaluateRole"],
    "Integration checks belong to owners of models, who opt a function in by this name.",
  ),
  reaches(
    own("sns", "seatrial-*"),
    ["NotifyRole"],
    "Topics belong to owners of models, who opt a topic in by this name.",
  ),
  reaches(
    own("ssm", "parameter/<AWS::StackName>/webhooks/*"),
    ["NotifyRole"],
    "The addresses and keys of webhooks, a parameter for each that a policy names.",
  ),
  reaches(
    own("ssm", "parameter/<AWS::StackName>/targets/*"),
    ["ReconcileRole"],
    "The keys that calls of hooks are signed with, a parameter for each model whose policy names one.",
  ),
];

/** Findings of CDK's own validation that come of how parameters are passed: with their values, conditions are decided. */
const DECIDED = ["W1028", "W8003", "W9053"].map((rule) => ({
  id: `CloudFormation-Validate::${rule}`,
  reason: "The template's conditions ask for parameters, which have their values by now.",
}));

/** Acknowledges all of it, so that whoever checks an app sees the findings of their own resources. */
export function acknowledge(template: CfnInclude): void {
  for (const { id, on, reason } of FINDINGS) {
    for (const name of on) Validations.of(template.getResource(name)).acknowledge({ id, reason });
  }
  // Conditions belong to the stack.
  Validations.of(Stack.of(template)).acknowledge(...DECIDED);
}
