# Images with a static program, the certificates of public authorities, and nothing else: a stage
# for each program. `docker/build PROGRAM` builds the program and calls this for its stage.
FROM scratch AS program
COPY root /
USER 65532:65532

#   docker run --rm -p 8013:8013 -p 8016:8016 -v "$PWD:/flags:ro" flagstaff:latest \
#       start --uri file:/flags/flags.json
#
# Arguments, options and FLAGD_* variables are those of flagd's image.
FROM program AS flagstaff
# A container is reached from outside, or not at all.
ENV FLAGSTAFF_HOST=::
# Evaluation, management, synchronization, OFREP.
EXPOSE 8013 8014 8015 8016
# At the port of FLAGD_MANAGEMENT_PORT; that of an option is not seen here.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["/flagstaff", "health"]
ENTRYPOINT ["/flagstaff"]
CMD ["start"]

#   docker run --rm -p 127.0.0.1:8080:8080 -v flagops:/data -e FLAGOPS_INSECURE=true flagops-store:latest
#
# It needs a certificate (FLAGOPS_TLS_*), or FLAGOPS_INSECURE=true behind a proxy that has one.
FROM program AS flagops-store
# The database is flagops.db here, unless an option says otherwise. A new volume gets this owner.
COPY --chown=65532:65532 data /data
VOLUME /data
WORKDIR /data
# A container is reached from outside, or not at all.
ENV FLAGOPS_LISTEN=[::]:8080
EXPOSE 8080
# With the variables of the container; options of the command line are not seen here.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["/flagops-store", "health"]
ENTRYPOINT ["/flagops-store"]

#   docker run --rm -p 127.0.0.1:8445:8445 -v toggles:/data -e TOGGLE_MEISTER_INSECURE=true toggle-meister:latest
#
# It needs a certificate (TOGGLE_MEISTER_TLS_*) and TOGGLE_MEISTER_FLAGS_OFREP=off, since the port of OFREP has
# no TLS; or TOGGLE_MEISTER_INSECURE=true behind a proxy that has a certificate.
FROM program AS toggle-meister
# The database is toggle-meister.db here, unless an option says otherwise. A new volume gets this owner.
COPY --chown=65532:65532 data /data
VOLUME /data
WORKDIR /data
# A container is reached from outside, or not at all.
ENV TOGGLE_MEISTER_LISTEN=[::]:8445 \
    TOGGLE_MEISTER_FLAGS_EVALUATION=[::]:8013 \
    TOGGLE_MEISTER_FLAGS_SYNC=[::]:8015 \
    TOGGLE_MEISTER_FLAGS_OFREP=[::]:8016
# The API and the pages, evaluation, synchronization, OFREP.
EXPOSE 8445 8013 8015 8016
# With the variables of the container; options of the command line are not seen here.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["/toggle-meister", "health"]
ENTRYPOINT ["/toggle-meister"]
