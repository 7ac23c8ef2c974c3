-- The service a run is launched at: kind, base URL and API version. A process that is configured for another service
-- neither polls nor cancels it. Null for runs of earlier versions.

alter table runs add column service text;
