export { Artifacts, type Keys } from "./artifacts";
export type { ForModel, ForRollback } from "./grants";
export type * from "./props";
export type { FunctionName } from "./resources";
export { type Buckets, Seatrial, type StateMachines, type Urls } from "./seatrial";
