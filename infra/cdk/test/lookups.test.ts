import assert from "node:assert/strict";
import { test } from "node:test";

import { App, Stack, aws_ec2 as ec2, aws_iam as iam, aws_ssm as ssm } from "aws-cdk-lib";

import type { SeatrialProps } from "../lib";
import { deployed, folder, synthesized } from "./deployed";

const env = { account: "111111111111", region: "eu-central-1" };

/** What the CLI is told to look up before it runs the app again. */
function missing(app: App): string[] {
  return (app.synth().manifest.missing ?? []).map(({ provider }) => provider).sort();
}

function looking(context: Record<string, unknown> = {}): App {
  return new App({
    analyticsReporting: false,
    builtinCloudFormationValidation: false,
    outdir: folder(),
    context,
  });
}

/** A network in a VPC that only the account knows. */
const network =
  (subnets?: ec2.SubnetSelection) =>
  (stack: Stack): Partial<SeatrialProps> => {
    const vpc = ec2.Vpc.fromLookup(stack, "Vpc", { isDefault: false });
    const securityGroups = [ec2.SecurityGroup.fromLookupByName(stack, "Functions", "functions", vpc)];
    return { network: { vpc, securityGroups, ...(subnets && { subnets }) } };
  };

test("a VPC that is to be looked up is not refused before the CLI knows that it is", () => {
  for (const subnets of [
    undefined,
    { subnetGroupName: "App" },
    { subnetType: ec2.SubnetType.PRIVATE_ISOLATED },
  ]) {
    const { app } = deployed(network(subnets), { env, app: looking() });
    assert.deepEqual(missing(app), ["security-group", "vpc-provider"], JSON.stringify(subnets));
  }
});

/** The context when the CLI has looked up a VPC with subnets of one kind. What a security group is asked for is the VPC's id. */
function found(type: string, ids: string[]): Record<string, unknown> {
  const subnets = ids.map((subnetId) => ({
    subnetId,
    availabilityZone: "eu-central-1a",
    routeTableId: "rtb-1",
  }));
  const answers: Record<string, unknown> = {
    "vpc-provider": {
      vpcId: "vpc-1",
      vpcCidrBlock: "10.0.0.0/16",
      availabilityZones: [],
      subnetGroups: [{ name: type, type, subnets }],
    },
    "security-group": { securityGroupId: "sg-0a", allowAllOutbound: true },
  };
  const context: Record<string, unknown> = {};
  for (const _ of Object.keys(answers)) {
    const app = looking(context);
    network()(new Stack(app, "Seatrial", { env }));
    for (const { key, provider } of app.synth().manifest.missing ?? []) context[key] = answers[provider];
  }
  return context;
}

test("what was looked up arrives, and public subnets are refused then", () => {
  const { app, stack } = deployed(network(), {
    env,
    app: looking(found("Private", ["subnet-0a", "subnet-0b"])),
  });
  assert.deepEqual(missing(app), []);
  const { VpcConfig } = synthesized(stack).Resources.ServeFunction.Properties;
  assert.deepEqual(VpcConfig["Fn::If"][1], {
    SubnetIds: ["subnet-0a", "subnet-0b"],
    SecurityGroupIds: ["sg-0a"],
  });
  const context = found("Public", ["subnet-0a"]);
  assert.throws(
    () => deployed(network({ subnetType: ec2.SubnetType.PUBLIC }), { env, app: looking(context) }),
    /network\.subnets: found public ones/,
  );
});

test("parameters and roles that are to be looked up are not refused either", () => {
  const { app, seatrial, stack } = deployed(
    (stack) => {
      const parameter = (name: string): string => ssm.StringParameter.valueFromLookup(stack, name);
      return {
        mailFrom: parameter("/seatrial/mail_from"),
        checkHosts: [parameter("/seatrial/check_hosts")],
        approvals: { oidc: { issuer: parameter("/login/issuer"), clientId: "web" } },
        trainingArtifacts: [`arn:aws:s3:::${parameter("/training/bucket")}/*`],
      };
    },
    { env, app: looking() },
  );
  const model = ssm.StringParameter.valueFromLookup(stack, "/seatrial/model");
  seatrial.grantSubmit(iam.Role.fromLookup(stack, "Training", { roleName: "training" }), { model });
  const asked = missing(app);
  assert.equal(asked.filter((provider) => provider === "ssm").length, 5);
  assert.equal(asked.length, 6);
});
