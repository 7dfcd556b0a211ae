import assert from "node:assert/strict";
import { test } from "node:test";

import { App, Stack, aws_ec2 as ec2, aws_kms as kms, aws_sns as sns } from "aws-cdk-lib";
import { CfnInclude } from "aws-cdk-lib/cloudformation-include";
import { AwsSolutionsChecks } from "cdk-nag";
import type { IConstruct } from "constructs";

import type { SeatrialProps } from "../lib";
import { FINDINGS } from "../lib/acknowledged";
import { asset } from "../lib/template";
import { deployed, folder, quiet } from "./deployed";

/** What AwsSolutions finds, as `rule resource`. */
function found(scope: IConstruct): string[] {
  const { violations } = new AwsSolutionsChecks().validateScope(scope);
  return violations
    .flatMap(({ ruleName, violatingResources }) =>
      violatingResources.map(({ constructPath }) => `${ruleName} ${constructPath?.split("/").at(-1)}`),
    )
    .sort();
}

test("what cdk-nag finds in the template is exactly what is acknowledged, each with its reason", () => {
  const stack = new Stack(quiet(), "Written");
  new CfnInclude(stack, "Template", { templateFile: asset("template.yaml") });
  const acknowledged = FINDINGS.flatMap(({ id, on }) => on.map((name) => `${id} ${name}`)).sort();
  assert.deepEqual(found(stack), acknowledged);
  for (const { id, reason } of FINDINGS) assert.ok(reason.endsWith(".") && reason.length > 25, id);
});

test("cdk-nag finds nothing in a Seatrial", () => {
  assert.deepEqual(found(deployed().seatrial), []);
  const encrypted = (stack: Stack): Partial<SeatrialProps> => {
    const topic = new sns.Topic(stack, "Notices", { masterKey: new kms.Key(stack, "Key") });
    return { notices: { topic } };
  };
  assert.deepEqual(found(deployed(encrypted).seatrial), []);
});

test("cdk-nag goes on finding what is wrong beside it", () => {
  const { stack } = deployed();
  new sns.Topic(stack, "Topic");
  assert.deepEqual(found(stack), ["AwsSolutions-SNS3 Resource"]);
});

/** Synthesizes with CDK's own validation of CloudFormation, whose findings are errors. */
function validated(props: Partial<SeatrialProps> | ((stack: Stack) => Partial<SeatrialProps>)): void {
  const app = new App({
    analyticsReporting: false,
    outdir: folder(),
    context: { "@aws-cdk/core:validateAgainstDefaultRules": true },
  });
  deployed(props, { app, env: { account: "111111111111", region: "eu-central-1" } });
  app.synth();
}

test("CloudFormation's rules find nothing, with defaults and with everything of one's own", () => {
  assert.doesNotThrow(() => validated({}));
  assert.doesNotThrow(() =>
    validated((stack) => {
      const vpc = new ec2.Vpc(stack, "Vpc", { maxAzs: 2 });
      return {
        network: { vpc, securityGroups: [new ec2.SecurityGroup(stack, "Functions", { vpc })] },
        encryptionKey: new kms.Key(stack, "Key"),
        alarmTopic: new sns.Topic(stack, "Alarms", { enforceSSL: true }),
        notices: { topic: new sns.Topic(stack, "Notices", { masterKey: new kms.Key(stack, "NoticesKey") }) },
        mailFrom: "ml@example.com",
        concurrency: { control: 1, rollback: 1, approvals: 1, serve: 1 },
        throttles: {
          serve: { rate: 1, burst: 1 },
          approvals: { rate: 1, burst: 1 },
          control: { rate: 1, burst: 1 },
        },
      };
    }),
  );
});
