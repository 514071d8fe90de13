import { expect, it } from "vitest";
import { readRecord } from "./record";

it("reads what the server recorded", () => {
  const { instance, volumes } = readRecord({
    instance: {
      instanceId: "i-1",
      instanceType: "t3.small",
      iamInstanceProfileArn: "arn:aws:iam::1:instance-profile/web",
      securityGroupIds: ["sg-1"],
      tags: { Name: "web", Environment: "production" },
    },
    volumes: [{ volumeId: "vol-1", device: "/dev/xvda", sizeGib: 8, volumeType: "gp3", iops: 3000, encrypted: true }],
  });
  expect(instance.profile).toBe("web");
  expect(instance.tags).toContainEqual({ key: "Environment", value: "production" });
  expect(volumes).toEqual([
    {
      volumeId: "vol-1",
      device: "/dev/xvda",
      sizeGib: 8,
      volumeType: "gp3",
      iops: 3000,
      throughput: null,
      encrypted: true,
      deleteOnTermination: false,
    },
  ]);
});

it.each([null, undefined, 7, [], {}, { instance: null, volumes: "none" }])("survives %j", (details) => {
  expect(readRecord(details).volumes).toEqual([]);
  expect(readRecord(details).instance.zone).toBeNull();
});
