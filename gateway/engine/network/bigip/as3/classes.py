"""Which properties each class of AS3 has, for the classes that we write: what belongs to a class, and nothing else.

AS3 refuses a property that no class has, and says nothing about one that another class has: it is left out, and what
was meant does not happen. So the names are listed here by class (AS3 3.56); a test holds them against the schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final


def _properties(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


_HTTP_SERVICE: Final = _properties(
    """
    addressStatus adminState allowVlans class clientTLS clonePools enable fallbackPersistenceMethod
    httpMrfRoutingEnabled iRules include ipIntelligencePolicy label lastHop layer4 maxConnections maximumBandwidth
    metadata mirroring nat64Enabled persistenceMethods policyBandwidthControl policyEndpoint policyFirewallEnforced
    policyFirewallStaged policyIAM policyIdleTimeout policyNAT policyPerRequestAccess policyWAF pool profileAccess
    profileAnalytics profileAnalyticsTcp profileApiProtection profileBotDefense profileClassification
    profileConnectivity profileConnector profileDNS profileDOS profileDiameterEndpoint profileEnforcement profileFIX
    profileFPS profileHTML profileHTTP profileHTTPAcceleration profileHTTPCompression profileIPOther
    profileIntegratedBotDefense profileJSON profileMultiplex profileNTLM profilePingAccess profileProtocolInspection
    profileRequestAdapt profileResponseAdapt profileRewrite profileSSE profileSSHProxy profileService
    profileSplitsessionClient profileStatistics profileStream profileSubscriberManagement profileTCP
    profileTrafficLog profileVdi profileWebSocket rateLimit rejectVlans remark securityLogProfiles serverTLS
    serversslUseSni serviceDownImmediateAction shareAddresses snat sourceAddress translateClientPort
    translateServerAddress translateServerPort virtualAddresses virtualPort virtualType
    """
)
_HTTP_MONITOR: Final = _properties(
    """
    adaptive adaptiveDivergenceMilliseconds adaptiveDivergencePercentage adaptiveDivergenceType
    adaptiveLimitMilliseconds adaptiveWindow class dscp interval label monitorType passphrase receive receiveDown
    remark reverse send targetAddress targetPort timeUntilUp timeout transparent upInterval username
    """
)
# By class. The monitors of other types than HTTP and HTTPS are not ours.
PROPERTIES: Final[Mapping[str, frozenset[str]]] = {
    "ADC": _properties(
        """
        $schema Common class constants controls id label remark schemaVersion scratch target updateMode
        """
    ),
    "Tenant": _properties(
        """
        Shared class constants controls defaultRouteDomain enable label optimisticLockKey remark
        useCommonRouteDomainTenant verifiers
        """
    ),
    "Application": _properties("class constants enable label remark schemaOverlay serviceMain template"),
    "Controls": _properties("archiveId archiveTimestamp class dryRun fortune logLevel trace traceResponse userAgent"),
    "Service_HTTP": _HTTP_SERVICE,
    "Service_HTTPS": _HTTP_SERVICE | {"profileHTTP2", "redirect80"},
    "Pool": _properties(
        """
        allowNATEnabled allowSNATEnabled class label loadBalancingMode members metadata minimumMembersActive
        minimumMonitors monitors remark reselectTries serviceDownAction slowRampTime
        """
    ),
    "HTTP_Profile": _properties(
        """
        allowBlankSpaceAfterHeaderName allowedResponseHeaders badRequestMessage badResponseMessage class
        connectErrorMessage cookiePassphrase defaultConnectAction dnsErrorMessage doNotProxyHosts encryptCookies
        enforceRFCCompliance excessClientHeaders excessServerHeaders fallbackRedirect fallbackStatusCodes
        hstsIncludeSubdomains hstsInsert hstsPeriod hstsPreload insertHeader ipv6 knownMethods label maxHeaderCount
        maxHeaderSize maxRequests multiplexStatusReuse multiplexTransformations otherXFF oversizeClientHeaders
        oversizeServerHeaders pipelineAction profileWebSocket proxyConnectEnabled proxyType remark requestChunking
        resolver responseChunking rewriteRedirects routeDomain serverHeaderValue truncatedRedirects trustXFF
        tunnelName unknownMethodAction viaHost viaRequest viaResponse webSocketMasking webSocketsEnabled
        whiteOutHeader xForwardedFor
        """
    ),
    "Multiplex_Profile": _properties(
        """
        class connectionLimitEnforcement idleTimeoutOverride label maxConnectionAge maxConnectionReuse
        maxConnections remark sharePools sourceMask
        """
    ),
    "TLS_Client": _properties(
        """
        alertTimeout allowExpiredCRL authenticationDepth authenticationFrequency c3dCertificateAuthority
        c3dCertificateExtensions c3dCertificateLifespan c3dEnabled cacheTimeout cipherGroup ciphers class
        clientCertificate crlFile dataZeroRoundTripTime dtls1_2Enabled dtlsEnabled forwardProxyBypassEnabled
        forwardProxyEnabled handshakeTimeout ignoreExpired ignoreUntrusted insertEmptyFragmentsEnabled label
        ldapStartTLS proxySslEnabled proxySslPassthroughEnabled remark renegotiatePeriod renegotiateSize
        renegotiationEnabled requireSNI retainCertificateEnabled secureRenegotiation sendSNI serverName
        sessionTickets singleUseDhEnabled sniDefault ssl3Enabled sslEnabled sslSignHash tls1_0Enabled tls1_1Enabled
        tls1_2Enabled tls1_3Enabled trustCA uncleanShutdownEnabled validateCertificate
        """
    ),
    "TLS_Server": _properties(
        """
        alertTimeout allowDynamicRecordSizing allowExpiredCRL authenticationDepth authenticationFrequency
        authenticationInviteCA authenticationMode authenticationTrustCA c3dEnabled c3dOCSP
        c3dOCSPUnknownStatusAction cacheCertificateEnabled cacheTimeout certificateExtensions certificates
        cipherGroup ciphers class crlFile dataZeroRoundTripTime dtls1_2Enabled dtlsEnabled
        forwardProxyBypassAllowlist forwardProxyBypassEnabled forwardProxyEnabled handshakeTimeout hybrid
        insertEmptyFragmentsEnabled label ldapStartTLS namingScheme nonSslConnectionsEnabled
        notifyCertStatusToVirtualServer proxySslEnabled proxySslPassthroughEnabled remark renegotiateMaxRecordDelay
        renegotiatePeriod renegotiateSize renegotiationEnabled requireSNI retainCertificateEnabled
        secureRenegotiation singleUseDhEnabled smtpsStartTLS ssl3Enabled sslEnabled sslSignHash staplerOCSPEnabled
        tls1_0Enabled tls1_1Enabled tls1_2Enabled tls1_3Enabled uncleanShutdownEnabled
        """
    ),
    "Certificate": _properties(
        """
        certificate chainCA class issuerCertificate label passphrase pkcs12 pkcs12Options privateKey remark
        staplerOCSP
        """
    ),
    "CA_Bundle": _properties("bundle class label remark"),
    "Data_Group": _properties(
        """
        class dataGroupFile externalFilePath ignoreChanges keyDataType label records remark separator storageType
        """
    ),
    "iRule": _properties("class expand iRule label remark"),
}
MONITORS: Final[Mapping[str, frozenset[str]]] = {
    "http": _HTTP_MONITOR,
    "https": _HTTP_MONITOR | {"ciphers", "clientCertificate", "clientTLS"},
}

# The members of a pool have no class.
POOL_MEMBER: Final = _properties(
    """
    accessKeyId addressDiscovery addressFamily addressRealm adminState apiAccessKey applicationId autoPopulate bigip
    connectionLimit credentialUpdate directoryId downInterval dynamicRatio enable encodedCredentials encodedToken
    environment externalId fqdnPrefix hostname jmesPathQuery metadata minimumMonitors monitors priorityGroup
    projectId queryInterval rateLimit ratio region rejectUnauthorized remark resourceGroup resourceId resourceType
    roleARN routeDomain secretAccessKey serverAddresses servers servicePort shareNodes subscriptionId tagKey
    tagValue trustCA undetectableAction updateInterval uri useManagedIdentity
    """
)

_HTTPS_WRITTEN: Final = _properties(
    """
    class clientTLS iRules metadata persistenceMethods policyPerRequestAccess pool profileAccess profileHTTP
    profileMultiplex redirect80 serverTLS snat virtualAddresses virtualPort
    """
)
_HTTPS_ONLY: Final = _properties(
    "clientTLS policyPerRequestAccess pool profileAccess profileMultiplex redirect80 serverTLS"
)
# What `declaration.py` writes, by class. Whatever else a plan's file holds is somebody's edit, and is not sent.
WRITTEN: Final[Mapping[str, frozenset[str]]] = {
    "ADC": _properties("class controls id label schemaVersion updateMode"),
    "Controls": _properties("class userAgent"),
    "Tenant": _properties("class label"),
    "Application": _properties("class label template"),
    "Service_HTTP": _HTTPS_WRITTEN - _HTTPS_ONLY,
    "Service_HTTPS": _HTTPS_WRITTEN,
    "Pool": _properties("class members monitors"),
    "Monitor": _properties("class clientTLS interval monitorType receive receiveDown send targetPort timeout"),
    "HTTP_Profile": _properties("class xForwardedFor"),
    "Multiplex_Profile": _properties("class"),
    "TLS_Client": _properties("class clientCertificate sendSNI serverName trustCA validateCertificate"),
    "Certificate": _properties("certificate class privateKey"),
    "Data_Group": _properties("class keyDataType records"),
    "iRule": _properties("class expand iRule"),
}
# `adminState` is what keeps a drained member drained.
MEMBER_WRITTEN: Final = _properties("adminState serverAddresses servicePort shareNodes")
