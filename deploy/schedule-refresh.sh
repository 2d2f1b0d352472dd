#!/bin/sh
# schedule-refresh.sh TRIGGER_ID: Cloud Scheduler runs the Cloud Build trigger of cloudbuild-refresh.yaml every hour.
# Wants GCP_PROJECT, GCP_REGION and SCHEDULER_SERVICE_ACCOUNT (with the role Cloud Build Editor).
set -eu
trigger=$1
: "${GCP_PROJECT:?must name the project}" "${GCP_REGION:?must name the region}"
: "${SCHEDULER_SERVICE_ACCOUNT:?must be the e-mail address of a service account}"
exec gcloud scheduler jobs create http matinee-refresh \
  --project="$GCP_PROJECT" --location="$GCP_REGION" --schedule="17 * * * *" \
  --uri="https://cloudbuild.googleapis.com/v1/projects/$GCP_PROJECT/locations/$GCP_REGION/triggers/$trigger:run" \
  --http-method=POST --headers=Content-Type=application/json --message-body='{}' \
  --oauth-service-account-email="$SCHEDULER_SERVICE_ACCOUNT"
