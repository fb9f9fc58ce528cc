# flagstaff in an image of its own: a static program, the certificates of public authorities, and
# nothing else. `docker/build flagstaff:latest` builds the program and calls this.
#
#   docker run --rm -p 8013:8013 -p 8016:8016 -v "$PWD:/flags:ro" flagstaff:latest \
#       start --uri file:/flags/flags.json
#
# Arguments, options and FLAGD_* variables are those of flagd's image.
FROM scratch

COPY flagstaff /flagstaff
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt

# A container is reached from outside, or not at all.
ENV FLAGSTAFF_HOST=::
# Evaluation, management, synchronization, OFREP.
EXPOSE 8013 8014 8015 8016
USER 65532:65532
# At the port of FLAGD_MANAGEMENT_PORT; that of an option is not seen here.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["/flagstaff", "health"]
ENTRYPOINT ["/flagstaff"]
CMD ["start"]
