import { type Stack, Token, type aws_lambda } from "aws-cdk-lib";
import type { CfnInclude } from "aws-cdk-lib/cloudformation-include";

import type { Network, SeatrialProps } from "./props";
import { refused } from "./refused";
import { FUNCTIONS } from "./resources";
import type { Value } from "./template";

/** What a function's name may have: `<stack>-<function>`. */
const NAME_LIMIT = 64;
/** The account that only emulators have. */
const EMULATOR = "000000000000";

/**
 * The template's rules that `check` asks, with errors that name properties.
 *
 * A rule that is added stays in the template until it is here.
 */
export const ANSWERED = [
  "AnIssuerIsBelievedForSomebody",
  "LocalIdentityNeedsAnEmulator",
  "SecurityGroupsNeedSubnets",
  "SubnetsNeedSecurityGroups",
] as const;

/** Refuses what no single value shows: properties that need each other, and a place that does not fit. */
export function check(stack: Stack, props: SeatrialProps): void {
  const most = NAME_LIMIT - 1 - Math.max(...FUNCTIONS.map((name) => name.length));
  if (!Token.isUnresolved(stack.stackName) && stack.stackName.length > most) {
    const expected = `at most ${most} characters: functions are named <stack>-<function>`;
    throw refused("stackName", JSON.stringify(stack.stackName), expected);
  }
  const { oidc } = props.approvals ?? {};
  if (oidc && !oidc.audience && !oidc.clientId) {
    const expected = "one of them: else the issuer's tokens for any other application would do";
    throw refused("approvals.oidc", "neither audience nor clientId", expected);
  }
  if (props.network) checkNetwork(props.network);
  if (props.emulator && !Token.isUnresolved(stack.account) && stack.account !== EMULATOR) {
    throw refused("emulator", `the account ${stack.account}`, `${EMULATOR}, which only emulators have`);
  }
}

function checkNetwork({ vpc, subnets, securityGroups }: Network): void {
  const selected = vpc.selectSubnets(subnets);
  if (securityGroups.length === 0) throw refused("network.securityGroups", "none", "at least one");
  // The CLI has yet to look the VPC up: these are not its subnets.
  if (selected.isPendingLookup) return;
  if (selected.subnetIds.length === 0) throw refused("network.subnets", "none that match", "at least one");
  if (selected.hasPublic) {
    const expected = "private ones: from a public subnet a function reaches nothing";
    throw refused("network.subnets", "public ones", expected);
  }
}

/** Which function reads a queue, whose time the property names. */
const READERS = [
  { parameter: "ObservationsVisibility", property: "visibility.observations", reader: "Observe" },
  { parameter: "ShadowVisibility", property: "visibility.shadow", reader: "Replay" },
  { parameter: "NoticesVisibility", property: "visibility.notices", reader: "Notify" },
  { parameter: "TargetsVisibility", property: "visibility.targets", reader: "Reconcile" },
] as const;

/** A message that comes again while it is worked on is worked on twice: AWS asks for six times the function's timeout. */
export function checkQueues(template: CfnInclude, parameters: Record<string, Value>): void {
  for (const { parameter, property, reader } of READERS) {
    const hidden = parameters[parameter];
    const { timeout } = template.getResource(`${reader}Function`) as aws_lambda.CfnFunction;
    if (typeof hidden !== "number" || Token.isUnresolved(hidden) || timeout === undefined) continue;
    if (hidden < 6 * timeout) {
      const expected = `at least ${6 * timeout} s, six times the timeout of \`${reader.toLowerCase()}\``;
      throw refused(property, `${hidden} s`, expected);
    }
  }
}
